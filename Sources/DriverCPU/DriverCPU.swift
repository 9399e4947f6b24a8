// Layer DriverCPU.
