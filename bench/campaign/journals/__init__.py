"""The journals of the campaign's rounds: made, recorded by their own database, changed as the owner's, and failing."""
