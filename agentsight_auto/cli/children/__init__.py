"""On the path of the processes that a program under ``agentsight-auto run`` starts."""
