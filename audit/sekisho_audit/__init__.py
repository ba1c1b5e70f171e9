"""The ledger of Sekisho: evidence that a third party can check without trusting its writer."""

__version__ = "0.1.0"
