"""What only a campaign needs: faults on demand, lies in challenges, and what Zinc's documents leave open."""
