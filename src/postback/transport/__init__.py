"""The one way out: sends bytes to receivers and says what came of it; knows no event and no format."""
