"""What is observed of an untrained network: alone, batched, in further views."""
