"""When things happen: accepting, claiming, attempting, settling, and what time makes necessary."""
