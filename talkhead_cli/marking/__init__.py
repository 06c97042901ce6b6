"""What says in every output, readable for programs, that AI has made it; and what reads it back."""
