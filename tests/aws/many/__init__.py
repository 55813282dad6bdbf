"""Many runs, as producers make them with real chromadb, and what the snapshots must hold in the end."""
