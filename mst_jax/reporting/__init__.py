"""Reports of evaluations and of training runs: plots, images, pages and logs."""
