"""For those who receive: installed where no server is, with nothing beyond the standard library."""
