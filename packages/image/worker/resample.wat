;; Pillow's resampling of 8-bit pictures, four channels at a time, and the table that makes bytes values: the inner loops of
;; worker/resample.mjs.
;;
;; A value is (2²¹ + Σ byte · weight) >> 22, cut to 0…255, with int32 weights of 22 fractional bits, which is what
;; Pillow's Resample.c computes; the first pass is rounded to bytes before the second begins. Integer sums have no
;; order, so the vector units give the very bytes of the scalar loop.
;;
;; `spans` holds [first, count] per output position, `weights` holds `taps` int32 per output position, count ≥ 1.
;; Both resampling loops read and write up to 16 bytes past the last value: the caller leaves that room.
;;
;; resample.wasm is this file assembled by wabt; src/kernel.test.ts compares the two.
(module
  (memory (export "memory") 1)

  ;; RGB rows → RGB rows of `columns` pixels. A pixel is loaded and stored as four bytes; the fourth is overwritten by its
  ;; neighbour, and the last one of a row has a byte of its own: the resulting rows lie 3 · columns + 1 bytes apart.
  (func (export "horizontal")
    (param $source i32) (param $stride i32) (param $target i32) (param $rows i32) (param $columns i32)
    (param $spans i32) (param $weights i32) (param $taps i32)
    (local $span i32) (local $left i32) (local $table i32) (local $pixel i32) (local $weight i32) (local $end i32) (local $sum v128)
    (loop $row
      (local.set $span (local.get $spans))
      (local.set $table (local.get $weights))
      (local.set $left (local.get $columns))
      (loop $column
        (local.set $pixel (i32.add (local.get $source) (i32.mul (i32.load (local.get $span)) (i32.const 3))))
        (local.set $weight (local.get $table))
        (local.set $end (i32.add (local.get $weight) (i32.shl (i32.load offset=4 (local.get $span)) (i32.const 2))))
        (local.set $sum (v128.const i32x4 0x200000 0x200000 0x200000 0x200000))
        (loop $tap
          (local.set $sum
            (i32x4.add
              (local.get $sum)
              (i32x4.mul
                (v128.load32_splat (local.get $weight))
                (i32x4.extend_low_i16x8_u (i16x8.extend_low_i8x16_u (v128.load32_zero (local.get $pixel)))))))
          (local.set $pixel (i32.add (local.get $pixel) (i32.const 3)))
          (local.set $weight (i32.add (local.get $weight) (i32.const 4)))
          (br_if $tap (i32.lt_u (local.get $weight) (local.get $end))))
        (local.set $sum (i32x4.shr_s (local.get $sum) (i32.const 22)))
        (local.set $sum (i16x8.narrow_i32x4_s (local.get $sum) (local.get $sum)))
        (v128.store32_lane 0 (local.get $target) (i8x16.narrow_i16x8_u (local.get $sum) (local.get $sum)))
        (local.set $target (i32.add (local.get $target) (i32.const 3)))
        (local.set $span (i32.add (local.get $span) (i32.const 8)))
        (local.set $table (i32.add (local.get $table) (i32.shl (local.get $taps) (i32.const 2))))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br_if $column (local.get $left)))
      (local.set $target (i32.add (local.get $target) (i32.const 1)))
      (local.set $source (i32.add (local.get $source) (local.get $stride)))
      (local.set $rows (i32.sub (local.get $rows) (i32.const 1)))
      (br_if $row (local.get $rows))))

  ;; Rows of `stride` bytes → `rows` rows of `stride` bytes, sixteen bytes at a time.
  (func (export "vertical")
    (param $source i32) (param $stride i32) (param $target i32) (param $rows i32)
    (param $spans i32) (param $weights i32) (param $taps i32)
    (local $x i32) (local $from i32) (local $weight i32) (local $end i32)
    (local $bytes v128) (local $w v128) (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (loop $row
      (local.set $x (i32.const 0))
      (local.set $end (i32.add (local.get $weights) (i32.shl (i32.load offset=4 (local.get $spans)) (i32.const 2))))
      (loop $block
        (local.set $from
          (i32.add (i32.add (local.get $source) (local.get $x)) (i32.mul (i32.load (local.get $spans)) (local.get $stride))))
        (local.set $weight (local.get $weights))
        (local.set $a (v128.const i32x4 0x200000 0x200000 0x200000 0x200000))
        (local.set $b (local.get $a))
        (local.set $c (local.get $a))
        (local.set $d (local.get $a))
        (loop $tap
          (local.set $w (v128.load32_splat (local.get $weight)))
          (local.set $bytes (v128.load (local.get $from)))
          (local.set $a (i32x4.add (local.get $a) (i32x4.mul (local.get $w) (i32x4.extend_low_i16x8_u (i16x8.extend_low_i8x16_u (local.get $bytes))))))
          (local.set $b (i32x4.add (local.get $b) (i32x4.mul (local.get $w) (i32x4.extend_high_i16x8_u (i16x8.extend_low_i8x16_u (local.get $bytes))))))
          (local.set $c (i32x4.add (local.get $c) (i32x4.mul (local.get $w) (i32x4.extend_low_i16x8_u (i16x8.extend_high_i8x16_u (local.get $bytes))))))
          (local.set $d (i32x4.add (local.get $d) (i32x4.mul (local.get $w) (i32x4.extend_high_i16x8_u (i16x8.extend_high_i8x16_u (local.get $bytes))))))
          (local.set $from (i32.add (local.get $from) (local.get $stride)))
          (local.set $weight (i32.add (local.get $weight) (i32.const 4)))
          (br_if $tap (i32.lt_u (local.get $weight) (local.get $end))))
        (v128.store
          (i32.add (local.get $target) (local.get $x))
          (i8x16.narrow_i16x8_u
            (i16x8.narrow_i32x4_s (i32x4.shr_s (local.get $a) (i32.const 22)) (i32x4.shr_s (local.get $b) (i32.const 22)))
            (i16x8.narrow_i32x4_s (i32x4.shr_s (local.get $c) (i32.const 22)) (i32x4.shr_s (local.get $d) (i32.const 22)))))
        (local.set $x (i32.add (local.get $x) (i32.const 16)))
        (br_if $block (i32.lt_u (local.get $x) (local.get $stride))))
      (local.set $target (i32.add (local.get $target) (local.get $stride)))
      (local.set $spans (i32.add (local.get $spans) (i32.const 8)))
      (local.set $weights (i32.add (local.get $weights) (i32.shl (local.get $taps) (i32.const 2))))
      (local.set $rows (i32.sub (local.get $rows) (i32.const 1)))
      (br_if $row (local.get $rows))))

  ;; RGB pixels → three planes of float32, every byte through its channel's 256 values.
  (func (export "normalise") (param $source i32) (param $pixels i32) (param $table i32) (param $target i32)
    (local $plane i32) (local $end i32)
    (local.set $plane (i32.shl (local.get $pixels) (i32.const 2)))
    (local.set $end (i32.add (local.get $target) (local.get $plane)))
    (loop $pixel
      (f32.store (local.get $target)
        (f32.load (i32.add (local.get $table) (i32.shl (i32.load8_u (local.get $source)) (i32.const 2)))))
      (f32.store (i32.add (local.get $target) (local.get $plane))
        (f32.load offset=1024 (i32.add (local.get $table) (i32.shl (i32.load8_u offset=1 (local.get $source)) (i32.const 2)))))
      (f32.store (i32.add (local.get $target) (i32.shl (local.get $plane) (i32.const 1)))
        (f32.load offset=2048 (i32.add (local.get $table) (i32.shl (i32.load8_u offset=2 (local.get $source)) (i32.const 2)))))
      (local.set $source (i32.add (local.get $source) (i32.const 3)))
      (local.set $target (i32.add (local.get $target) (i32.const 4)))
      (br_if $pixel (i32.lt_u (local.get $target) (local.get $end))))))
