"""The user, as functions of one example; vmap makes the batch."""
