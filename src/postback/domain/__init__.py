"""What a postback is. Standard library only: nothing here does I/O, reads a clock or rolls dice."""
