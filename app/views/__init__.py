"""The pages, one thin module each."""
