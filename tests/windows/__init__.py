"""Windows: pure functions of time, against slow references and against every clock change there is."""
