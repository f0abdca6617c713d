"""What every report is made of: numbers, documents, pages, tables and plots."""
