"""Where everything is kept: tables and screens shared by both databases, a hot path for each."""
