"""The faces: Streamlit pages, the HTTP API, the command line."""
