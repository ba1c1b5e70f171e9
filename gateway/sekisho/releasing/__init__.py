"""What release is made of: replies read, streams relayed, the one outcome of each intent."""
