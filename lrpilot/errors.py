"""What the errors that a user can mend have in common."""


class UserError(ValueError):
    """Something that was given is wrong: the message is one line, which says what, and what it may be."""
