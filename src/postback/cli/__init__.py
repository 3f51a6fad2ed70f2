"""The command line: one file a group of commands. Tables for people, JSON with --json, exit codes for scripts."""
