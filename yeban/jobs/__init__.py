"""The job service: with yeban.chunks and yeban.results the only writer of jobs. Each function owns its transaction."""
