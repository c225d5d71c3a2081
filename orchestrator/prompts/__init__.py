"""What the program itself says, to the model and to the person, in both languages."""
