"""Views for the owner alone: rows, receipts, exports, comparisons."""
