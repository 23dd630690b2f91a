"""The open world in other data sets' layouts: `shots` takes pictures, each writer beside it tells them in one's conventions."""
