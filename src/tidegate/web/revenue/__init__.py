"""The pages of revenue: who stays and who leaves, by what, what comes next, what is doubtful, and by which policy."""
