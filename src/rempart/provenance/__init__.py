"""What a file says of its own origin, and who vouches for it. Nothing here ever says real, fake, or how likely."""
