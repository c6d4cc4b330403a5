"""Two ways to serve: ``process`` is the guarded Daphne, with a bound on everything that a peer may make us keep or wait
for; ``alternative`` is uvicorn. A process imports only the one it uses: Daphne chooses the event loop when imported.
"""
