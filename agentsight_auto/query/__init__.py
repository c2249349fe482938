"""Read the store: filters, pages, documented shapes, metrics, and the facade that the clients call."""
