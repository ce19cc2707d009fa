module gosockets

go 1.19
