"""Where vectors and their history are kept: LanceDB tables and a DuckDB catalog."""
