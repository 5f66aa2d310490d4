"""The viewer: a local web page over run folders, which reads their files and changes none."""
