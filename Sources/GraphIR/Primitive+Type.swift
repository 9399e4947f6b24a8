import Basics
import TensorTypes
extension Primitive { public func resultType(_ o: [TensorType]) throws(Diagnostic) -> TensorType { o[0] } }
