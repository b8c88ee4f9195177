"""What features tell by themselves: clusters, twins, probes, and what fewer dimensions keep."""
