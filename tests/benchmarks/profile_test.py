"""Names of profiled operations: kernels of one operation are one."""

from absl.testing import absltest, parameterized

from benchmarks.parties import xtra_profile


class OperationNameTest(parameterized.TestCase):

  @parameterized.parameters(
      ('step/conv', 'Conv2D', 'Conv2D'),
      ('step/conv', '_MklNativeConv2D', 'Conv2D'),
      ('step/conv', '_FusedConv2D', 'Conv2D'),
      ('step/conv', '_MklNativePadWithConv2D', 'Conv2D'),
      ('step/norm', 'FusedBatchNormV3', 'FusedBatchNorm'),
      ('gradient_tape/step/dense', 'MatMul', 'MatMul (backward)'),
      ('gradient_tape/step/conv', 'Conv2DBackpropFilter',
       'Conv2DBackpropFilter'),
      ('gradient_tape/step/norm', '_MklNativeFusedBatchNormGradV3',
       'FusedBatchNormGrad'),
  )
  def test_kernels_of_an_operation_share_its_name(self, path, kernel, name):
    self.assertEqual(xtra_profile.operation_name(path, kernel), name)


if __name__ == '__main__':
  absltest.main()
