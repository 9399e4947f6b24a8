// Layer DriverInterpreter.
