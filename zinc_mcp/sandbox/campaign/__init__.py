"""Parts that only a campaign needs: faults on demand, lies in challenges, other readings of Zinc's documents."""
