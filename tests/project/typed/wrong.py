"""Wrong uses, one a line: a type checker reports each and names what stands in its comment."""

import applications
import keras_archs
import tuning

model = keras_archs.MobileNet(alpha=0.5)

# ----------------------------------------------------------------------------------- keras_archs

keras_archs.MobileNet(alfa=0.5)  # alfa
keras_archs.MobileNet(alpha="half")  # half
keras_archs.MobileNet((32, 32))  # input_shape
keras_archs.MobileNet(None, 10, 0.5)  # 2 positional
keras_archs.MobileNet(classes="ten")  # ten
keras_archs.MobileNet(stem="tiny")  # tiny
keras_archs.MobileNet(pooling="mean")  # mean
keras_archs.MobileNet(features="P3")  # features
keras_archs.MobileNet(weights=3)  # weights
keras_archs.MobileNet(bypass="simple")  # bypass
keras_archs.SqueezeNet(bypass="easy")  # easy
keras_archs.MobileNet.info.min_sise  # min_sise
keras_archs.MobilNet()  # MobilNet
keras_archs.fold_batch_nrom(model)  # fold_batch_nrom
from keras_archs import widden  # noqa: E402, F401  # widden

keras_archs.__version__.major  # major
keras_archs.list_archs(5)  # Literal[5]
keras_archs.build(keras_archs.LeNet5)  # name
keras_archs.info("vgg16").published["params"].sauce  # sauce
keras_archs.ArchInfo(nome="x")  # nome
keras_archs.profile("vgg16").macz  # macz
keras_archs.deployment("vgg16", "int4")  # int4
keras_archs.profile("vgg16").rows[0].mac  # mac
keras_archs.profile("vgg16").stages[0].flop  # flop
keras_archs.profile("vgg16").macs.shape  # shape
keras_archs.profile("vgg16", batch_size="all")  # all
keras_archs.Profile().compare()  # missing
keras_archs.LayerCost(nome="x")  # nome
keras_archs.Deployment(dtipe="int8")  # dtipe
keras_archs.StageCost(nome="x")  # nome
keras_archs.Comparison("vgg16", "vgg19")  # vgg16
keras_archs.LocalResponseNormalization(size="five")  # five
keras_archs.cost.regster  # regster
keras_archs.cost.register("Scale")  # Scale
keras_archs.runtime(model, nome="onnx")  # nome
keras_archs.runtime(model, threads="two")  # two
keras_archs.Predictor.cal  # cal
keras_archs.runtimes.availabel()  # availabel
keras_archs.fold_batch_norm("vgg16")  # vgg16
keras_archs.fold_batch_norm(model, layers=3)  # layers
keras_archs.to_fully_convolutional(model, 1)  # 1 positional
keras_archs.low_rank(model, "conv1", rang=4)  # rang
keras_archs.low_rank(model, "conv1", 4).modle  # modle
keras_archs.with_classes(model, class_count=5)  # class_count
keras_archs.with_channels(model, "three")  # three
keras_archs.widen(model, "conv1", units="many")  # many
keras_archs.deepen(model)  # after
keras_archs.grow(model, alpha="double")  # double
keras_archs.shrink(model)  # alpha
keras_archs.prune_channels(model, 0.5, per="channel")  # channel
keras_archs.load_compressed(5)  # path
keras_archs.save_compressed("model.kac")  # path
keras_archs.surgery.shrinc(model, 0.5)  # shrinc
keras_archs.weights.known_wieghts("vgg16")  # known_wieghts

# ---------------------------------------------------------------------------------------- tuning

tuning.Budget(param=1)  # param
tuning.Budget(params=1).macz  # macz
tuning.space(None, input_shape=(32, 32), classes=10)  # input_shape
tuning.settings(principel="pyramid")  # principel
tuning.arch_space(5)  # arch
tuning.lint("vgg16")  # vgg16
tuning.principles.PRINCIPELS  # PRINCIPELS
tuning.HyperSimpNet((28, 28, 1), clases=10)  # clases
tuning.HyperArch(5)  # arch
tuning.Budget(weight_bytes=9, dtype="int4")  # int4
tuning.search(trails=3)  # trails
tuning.search(budget=300_000)  # budget
tuning.search().bset  # bset
tuning.serach()  # serach

# ---------------------------------------------------------------------------------- applications

applications.train("lenet5", epoch=3)  # epoch
applications.train("lenet5", epochs="three")  # three
applications.train("lenet5", resize="cut")  # cut
applications.train()  # arch
applications.trian("lenet5")  # trian
applications.load("runs/a").metrix  # metrix
applications.load()  # path
applications.Run("runs/a").lables  # lables
applications.evaluate("runs/a", batch="all")  # batch
applications.evaluate("runs/a", scales=32)  # scales
applications.predict("runs/a", ["one.png"], top="3")  # top
applications.explain("runs/a", "one.png").mop  # mop
applications.compare(archs="lenet5,nin", epoch=3)  # epoch
applications.compare(archs=5)  # archs
applications.compare(seeds="0,1")  # seeds
applications.distill("runs/a")  # arch
applications.distill("runs/a", "lenet5", average="mean")  # mean
applications.grow("runs/a", depth=1)  # depth
applications.shrink("runs/a")  # alpha
applications.retrieve("runs/a")  # data
applications.retrieve("runs/a", "images", code="hash")  # hash
applications.retrieve("runs/a", "images").anwers  # anwers
applications.specialists("runs/a", set=4)  # set
applications.compress()  # run
applications.compress("runs/a", per="channel")  # channel
applications.compress("runs/a", int8="before")  # before
applications.serve()  # runs
applications.serve("runs/a", ports=8000)  # ports
applications.serve("runs/a", runtime="onnx")  # onnx
applications.export("runs/a")  # format
applications.export("runs/a", format="tflite")  # tflite
applications.export("runs/a", format="onnx", batch="any")  # any
applications.search(trails=3)  # trails
applications.search(algorithm="bayes")  # bayes
applications.bench("lenet5", second=1)  # second
applications.plot_architecture("vgg16")  # path
applications.lint("vgg16")[0].principel  # principel
applications.summary("vgg16", alfa=0.5)  # No overloads
applications.summary("vgg16", compare="nin").macs  # macs
applications.dashboard(prot=6006)  # prot
applications.new("classifier")  # folder
applications.recipe("resnet50").learning_rat  # learning_rat
applications.list_recipes("resnet*")  # 0 positional
