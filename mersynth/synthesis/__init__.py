"""From a generator and a store to a balanced synthetic store."""
