"""Networks side by side: cost, speed, accuracy, and a page that shows them."""
