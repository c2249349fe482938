"""The dashboard: pages for the people who are responsible for an agent.

In: requests of browsers. Out: HTML that works without JavaScript, helped by small modules. Loses: nothing.
Recorded text is text on every page: escaped, or Markdown without HTML that is sanitised once more.
"""
