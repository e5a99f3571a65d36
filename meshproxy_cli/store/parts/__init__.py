"""The parts of the store, one concern each; `store.store.Store` composes them."""
