"""The pages, a file for each place in the menu or part of one."""
