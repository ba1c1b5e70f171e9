"""The commands of `sekisho-audit`, one module each: its arguments, and what it does with them."""
