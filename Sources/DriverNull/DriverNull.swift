// Layer DriverNull.
