"""The report: every video of a batch or folder measured, on one page to approve or reject them."""
