"""What a student can minimise: published losses with their connectors, DisWOT+, DistPro's learned process."""
