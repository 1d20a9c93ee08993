"""What is wrong with a hub, in one line each: looked for, not guessed."""
