"""What the line carries: frozen values, standard library only, no behaviour that does I/O."""
