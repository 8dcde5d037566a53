"""What a subscription was worth over time: spans from its versions, and from invoice lines for the time before them."""
