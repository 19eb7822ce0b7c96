"""Selection of a student subgraph of the teacher by L1 gates (Gu & Tresp, ECAI 2020)."""
